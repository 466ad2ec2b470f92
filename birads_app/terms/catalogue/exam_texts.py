"""Uploads, exams, assessments and their export."""

from birads_app.terms.translation import N_

EXAM = {
    "no-files": N_("No file was received. Choose at least one image."),
    "too-many-files": N_(
        "%(count)d files were received; at most %(limit)d can be sent at once. Send them in several uploads."
    ),
    "file-problem": N_("%(file)s: %(problem)s"),
    "objects-left-out": N_("%(used)d of %(received)d objects used; left out: %(reasons)s"),
    "objects-over-limit": N_(
        "The study has more than %(most)d objects; only the first %(most)d were used. Send the others again."
    ),
    "patients-contradictory": N_(
        "The images of this study name different patients; they differ in: %(fields)s. Check whose images "
        "these are. Administrators can see all versions with `flask patient lookup`."
    ),
    "patient-id": N_("patient ID"),
    "patient-id-issuer": N_("issuer of the patient ID"),
    "patient-name": N_("name"),
    "patient-birth-date": N_("date of birth"),
    "patient-sex": N_("sex"),
    "patient-not-certain": N_(
        "The images of the exam name different patients, so nothing is sent to the PACS. Correct the study there, "
        "delete this exam and send the study again."
    ),
    "objects-repeated": N_("Received more than once and used once: %(count)d."),
    "uid-shared": N_(
        "Different images with the same SOP Instance UID: %(count)d. All are used; check the exporting system."
    ),
    "skipped-files": N_("Skipped, as they are not images of the exam: %(kinds)s."),
    "skipped-archive": N_("Skipped, although it may contain images: %(problem)s"),
    "skipped-kind": N_("%(kind)s (%(count)d)"),
    "kind-dicomdir": N_("media directory (DICOMDIR)"),
    "kind-report": N_("structured report, such as CAD results"),
    "kind-own-result": N_("result of this software"),
    "kind-presentation-state": N_("presentation state"),
    "kind-encapsulated": N_("encapsulated document"),
    "kind-other-dicom": N_("other DICOM object"),
    "kind-program": N_("program"),
    "kind-text": N_("text"),
    "kind-picture": N_("other picture, such as GIF or icon"),
    "kind-document": N_("document"),
    "kind-media": N_("audio or video"),
    "kind-system": N_("system file"),
    "kind-archive": N_("archive"),
    "no-image-of-exam": N_("This is not an image of an exam."),
    "upload-key-reused": N_(
        "This Idempotency-Key was sent with other files before. Use a new one for each upload."
    ),
    "uploads-busy": N_(
        "The server is busy with other uploads. Nothing was stored. Try again in %(seconds)d seconds."
    ),
    "uploads-share-taken": N_(
        "Your account has as many uploads at a time as one account may have. Nothing was stored. Try again in "
        "%(seconds)d seconds."
    ),
    "job-missing": N_("There is no such job, or it is being worked on. It may be done or removed."),
    "job-files-missing": N_("The stored files of the upload are missing or damaged. Send them again."),
    "job-interrupted": N_("The attempt failed. See the server’s log."),
    "housekeeping-failed": N_("The last run failed. See the server’s log."),
    "archive-too-large": N_("The archives contain more than 1 GiB of images. Send them in several uploads."),
    "archive-too-many-files": N_(
        "The archive %(name)s contains more than %(most)d files. Send it in several parts."
    ),
    "archive-encrypted": N_("The archive %(name)s is encrypted. Create it without a password."),
    "archive-file-too-large": N_("The archive %(name)s contains a file larger than 1 GiB."),
    "archive-method": N_(
        "The archive %(name)s is not compressed by Deflate. Create it again as an ordinary ZIP archive."
    ),
    "archive-expands": N_(
        "A file in the archive %(name)s expands to more than %(times)d times its compressed size, as no image does."
    ),
    "archive-nested": N_(
        "The archive %(name)s is inside %(most)d other archives. Unpack it and send the images."
    ),
    "archive-damaged": N_("The archive %(name)s is damaged. Create it again."),
    "archive-file-damaged": N_("The archive %(name)s contains a damaged file. Create it again."),
    "deletion-reason-missing": N_("State why the exam is deleted."),
    "exam-not-in-bin": N_("This exam is not in the bin. It may have been restored or permanently deleted."),
    "exam-kept-in-bin": N_(
        "This exam is kept until %(until)s. To delete it permanently before, confirm that explicitly."
    ),
    "exam-missing": N_("This exam does not exist. It may have been deleted."),
    "exam-image-missing": N_("This exam does not have the requested image."),
    "view-invalid": N_(
        "The side must be R or L, and the view must be one of those listed. Choose both in the form."
    ),
    "view-unknown": N_(
        "The view is unknown: the file does not state it, and it cannot be determined from the image. The "
        "image is not included in the breast's result until its view is set manually."
    ),
    "view-set": N_(
        "Set by %(name)s on %(at)s: %(view)s. As received: %(received)s. The image was not reanalysed."
    ),
    "raw-twin": N_(
        "This is the raw (FOR PROCESSING) version of another image of the exam. It is not included in the "
        "breast's result."
    ),
    "template-missing": N_("This report template does not exist. It may have been deleted."),
    "template-name-invalid": N_("A report template needs a name of at most %(most)d characters."),
    "template-name-taken": N_(
        "A report template named %(name)s already exists in this language. Choose another name."
    ),
    "report-missing": N_("No report: this exam has not been signed yet."),
    "signature-final": N_(
        "This signature is final: it was given more than %(seconds)d seconds ago, is not yours, or is replaced. "
        "Sign again to amend the report."
    ),
    "ai-result-hidden": N_("The AI result is hidden until you ask for it on the exam's page, or sign."),
    "entries-too-long": N_("The entries have %(letters)d letters; the limit is %(most)d. Shorten them."),
    "assessment-missing": N_("This exam does not have the requested assessment."),
    "assessment-too-long": N_(
        "The assessment has %(text)d characters and %(found)d findings; at most %(letters)d characters and "
        "%(findings)d findings are allowed."
    ),
    "report-text-too-long": N_("%(section)s has %(letters)d characters; at most %(most)d are allowed."),
    "breast-category-missing": N_("Each breast needs a category before you can sign. Missing: %(sides)s."),
    "assessment-value-unknown": N_("Unknown value for %(field)s: %(value)s. Choose one of: %(known)s."),
    "finding-value-unknown": N_(
        "Unknown value for %(field)s of a finding: %(value)s. Reload the page and choose again."
    ),
    "mark-incomplete": N_("A mark needs an image and both coordinates; some of them are missing."),
    "mark-outside-image": N_("The mark at %(x)s, %(y)s is outside the image. Coordinates range from 0 to 1."),
    "finding-kind-missing": N_("Choose the type of finding %(number)d, or remove the finding."),
    "clock-hour": N_("%(hour)s o’clock"),
    "clock-not-whole": N_("The clock position must be a whole number from 1 to 12, not %(text)s."),
    "location-contradictory": N_(
        "Finding %(number)d: %(clock)d o’clock is not in the chosen quadrant, which is at %(hours)s o’clock. Correct "
        "the side, the quadrant or the clock-face position."
    ),
    "side-contradictory": N_(
        "Finding %(number)d: its side is not that of the marked image. Correct the side or the image."
    ),
    "distance-not-whole": N_(
        "The distance from the nipple must be a whole number of millimetres, not %(text)s."
    ),
    "size-not-whole": N_("The size must be a whole number of millimetres, not %(text)s."),
    "mark-number-needed": N_("The coordinates of a mark must be numbers, not %(text)s."),
    "image-kind-unknown": N_("Images are available as %(kinds)s, not as %(kind)s."),
    "image-file-missing": N_("The file of this image is missing from the instance folder."),
    "original-changed": N_(
        "The original differs from its checksum. Run `flask fsck`, and restore the file from a backup."
    ),
    "image-encoding-failed": N_("The image could not be encoded for display."),
    "tile-missing": N_("This image does not have the requested tile."),
    "image-files-gone": N_("The files of this image no longer exist. The exam may have been deleted."),
    "export-folder-not-empty": N_(
        "The folder %(folder)s already exists and is not empty. Choose a new folder."
    ),
    "export-no-labels": N_("Nothing was exported: no assessed exam has an image with a label."),
    "export-folder-unwritable": N_("The export to %(folder)s failed (%(reason)s) and was removed."),
}
