"""Models, their bundles and their training."""

from birads_app.terms.translation import N_

MODEL = {
    "model-missing": N_(
        "No model is installed. Train one with `flask train --data DIR --name NAME --promote`, or promote "
        "an existing one with `flask models promote NAME`."
    ),
    "no-previous-model": N_("There is no previous model to return to."),
    "current-unreadable": N_("%(file)s cannot be read. Delete it, then run `flask models promote NAME`."),
    "previous-model-changed": N_("%(name)s is no longer the previous model. Reload the page and try again."),
    "out-of-distribution": N_(
        "This image differs from the training images more than nearly all test mammograms do (out of "
        "distribution). Do not rely on the AI result, even if a probability is high."
    ),
    "engine-ended": N_(
        "The process that runs the model ended. Try again; if it happens again, look at the log."
    ),
    "graphs-unreadable": N_("The graphs of model %(name)s cannot be read: %(reason)s. Retrain it."),
    "graphs-mismatch": N_("The graphs of model %(name)s do not match each other. Retrain it."),
    "bad-model-output": N_(
        "The output of model %(name)s is invalid: its length is %(values)d for %(classes)d categories, or it has "
        "values that are not numbers. Retrain it."
    ),
    "comparison-model-leaks": N_(
        "It was trained for comparison only (%(title)s), and data leakage inflates its results. Only models "
        "trained with --resampling smote-train and --split patient can be promoted."
    ),
    "comparison-model": N_(
        "It was trained for comparison only (%(title)s). Only models trained with --resampling smote-train "
        "and --split patient can be promoted."
    ),
    "must-not-serve": N_(
        "Model %(name)s cannot be promoted. %(objection)s Administrators can override this with "
        "--override-protocol."
    ),
    "caution-demonstration": N_("It is a demonstration, trained on small public data sets."),
    "caution-synthetic": N_("It was trained on synthetic images, which are not those of patients."),
    "caution-few-patients": N_(
        "It was trained and tested on %(patients)d patients, which is fewer than %(least)d."
    ),
    "caution-patients-unknown": N_("It does not state how many patients it was trained on."),
    "caution-contaminated": N_(
        "Contaminated: its test images are of patients whom its backbone was trained on."
    ),
    "caution-leak": N_("Its training and test sets are not separate."),
    "caution-label-permutation": N_("It failed a sanity check: training on permuted labels."),
    "caution-metadata-baseline": N_("It failed a sanity check: prediction from file metadata alone."),
    "caution-copies": N_("Copies of one image belong to different patients in its data."),
    "caution-unknown-patients": N_("The patients of some of its images are unknown."),
    "caution-few-test-images": N_("Its test set has too few images of a category."),
    "caution-report-warns": N_("Its training report has %(count)d warnings."),
    "promotion-needs-reason": N_(
        "Model %(name)s was not promoted. %(cautions)s State why it is to be used: flask models promote "
        "%(name)s --reason TEXT"
    ),
    "model-archive-damaged": N_(
        "This is not a complete archive of a model. Download the model again, and send the file unchanged."
    ),
    "model-archive-foreign-file": N_(
        "The archive contains the file %(file)s, which is not part of a model. Download the model again, and "
        "send the file unchanged."
    ),
    "model-archive-too-large": N_("The archive has more than %(most)d MiB unpacked, which no model has."),
    "model-archive-changed": N_(
        "The signature does not match: the archive was changed after it was signed. Nothing was added. Download "
        "the model again from its site."
    ),
    "model-archive-foreign-key": N_(
        "The archive was signed by another site, whose key has the fingerprint %(fingerprint)s. Nothing was "
        "added. Ask the sender, by telephone for example, for the fingerprint of their key; if it is the same, "
        "enter it and send the archive again."
    ),
    "model-name-of-exams": N_(
        "Exams have results of a deleted model named %(name)s. Choose another name, so that they stay "
        "distinguishable."
    ),
    "model-serves": N_("Model %(name)s is in service. Promote another one before you delete it."),
    "models-not-writable": N_("The folder of models %(folder)s cannot be written: %(reason)s."),
    "bundle-name-taken": N_("A model named %(name)s already exists. Choose another --name."),
    "bundle-name-invalid": N_(
        "%(name)s is not a valid model name. Use up to 64 letters, digits, dots, hyphens and underscores, "
        "starting with a letter or a digit."
    ),
    "bundle-missing": N_("No model is named %(name)s. List all models with `flask models list`."),
    "manifest-damaged": N_(
        "The manifest of model %(name)s is damaged. Restore the folder or retrain the model."
    ),
    "manifest-without-schema": N_(
        "The manifest of model %(name)s has no schema version. Restore the folder or retrain the model."
    ),
    "schema-too-new": N_(
        "Model %(name)s has schema version %(schema)d; this program supports versions up to %(supported)d. "
        "Update the program."
    ),
    "manifest-incomplete": N_(
        "The manifest of model %(name)s is incomplete. Restore the folder or retrain the model."
    ),
    "preprocessing-changed": N_(
        "Model %(name)s was trained with preprocessing version %(version)s; this program has version "
        "%(supported)d. Retrain it."
    ),
    "bundle-file-missing": N_(
        "The file %(file)s of model %(model)s is missing. Restore the folder or retrain the model."
    ),
    "bundle-file-changed": N_(
        "The file %(file)s of model %(model)s was changed or is damaged. Restore the folder or retrain the "
        "model."
    ),
    "bundle-file-unreadable": N_("The file %(file)s of model %(model)s cannot be read: %(reason)s."),
    "bundle-file-damaged": N_("The file %(file)s of model %(name)s is damaged. Retrain the model."),
    "training-folder-not-allowed": N_(
        "Training from %(folder)s is not allowed. The folder must be inside one listed in "
        "BIRADS_TRAINING_DATA_DIRS: %(roots)s."
    ),
    "training-folder-missing": N_("The folder %(folder)s does not exist on the server."),
    "dataset-name-invalid": N_(
        "This is not a valid name. Use up to 64 letters, digits, dots, hyphens and underscores, starting with a "
        "letter or a digit."
    ),
    "dataset-name-taken": N_(
        "A data set named %(name)s already exists. Choose another name, or delete it first."
    ),
    "dataset-zip-refused": N_("The ZIP file cannot be used: %(reason)s. Nothing was stored."),
    "dataset-zip-empty": N_("The ZIP file has no files. Nothing was stored."),
    "dataset-missing": N_("This data set does not exist."),
    "dataset-check-busy": N_("Another data set is being checked. Wait until it is finished."),
    "dataset-check-missing": N_("This check does not exist."),
    "training-name-taken": N_("A model named %(name)s already exists. Choose another name."),
    "training-not-resumable": N_("The training of %(name)s cannot be resumed. Start a new one."),
    "training-not-running": N_("The training of %(name)s is not running."),
    "training-missing": N_("This training does not exist."),
    "training-busy": N_("Another training is running. Stop it or wait until it is finished."),
}
