"""Other systems in the network: PACS, DICOM nodes, DICOMweb servers."""

from birads_app.terms.translation import N_

NETWORK = {
    "server-unreachable": N_("%(server)s cannot be reached. Check the address, user name and password."),
    "server-http-error": N_(
        "%(server)s responded with HTTP status %(status)d. Check the address, user name and password."
    ),
    "server-object-missing": N_(
        "%(server)s lists an object that it does not return (HTTP status %(status)d). Check the study there."
    ),
    "server-failing": N_(
        "%(server)s responded with HTTP status %(status)d. Look into the server's log, and try again later."
    ),
    "server-other-object": N_(
        "%(server)s returned another object than the requested one. Check the study there."
    ),
    "server-object-cut-off": N_("%(server)s returned an object that is cut off. Check the study there."),
    "server-lists-nothing": N_("%(server)s lists no object of the study."),
    "fetch-incomplete": N_(
        "Object %(number)d of %(count)d was not received: %(reason)s The study is not stored; fetch it again."
    ),
    "server-certificates-unusable": N_(
        "The address or the certificates for %(server)s are invalid: %(reason)s."
    ),
    "server-not-dicomweb": N_("The response of %(server)s is not DICOMweb. Check the address."),
    "no-study-for-results": N_(
        "The files of the exam have no Study Instance UID, so results cannot be added to the study."
    ),
    "stored-picture-damaged": N_("An image of the exam in the instance folder is damaged."),
    "node-unreachable": N_(
        "%(node)s cannot be reached or ended the association. Check the host, port and TLS settings, and "
        "that it is running."
    ),
    "node-refused-object": N_(
        "%(node)s rejected an object with status %(status)s. See its log for the reason."
    ),
    "server-refused-object": N_(
        "%(server)s rejected an object with HTTP status %(status)d. See its log for the reason."
    ),
    "node-untrusted": N_(
        "The certificate of %(node)s is not trusted (%(reason)s). Check the certificate of the node and "
        "BIRADS_PACS_TLS_AUTHORITIES on this server."
    ),
    "node-rejected-association": N_(
        "%(node)s rejected the association: %(reason)s. Check both AE titles on the node."
    ),
    "node-classes-not-stored": N_("%(node)s does not accept objects of these SOP classes."),
    "node-class-not-stored": N_("%(node)s does not accept objects of the SOP class %(sop_class)s."),
    "node-aborted": N_("%(node)s ended the association without a response."),
    "node-no-query": N_("%(node)s does not allow queries (C-FIND) and retrieval (C-MOVE)."),
    "node-query-failed": N_(
        "%(node)s rejected the query with status %(status)s. See its log for the reason."
    ),
    "node-move-unknown": N_(
        "%(node)s does not know the destination %(title)s. Register this receiver there, with its address and port."
    ),
    "node-move-failed": N_(
        "%(node)s ended the retrieval with status %(status)s; objects that were not sent: %(failed)d. Check that "
        "BIRADS_DICOM_ALLOWED_AETS allows the node to send, and that it reaches this receiver."
    ),
    "priors-no-patient-id": N_("Priors were not requested: the files state no patient ID."),
    "priors-id-with-wildcard": N_(
        "Priors were not requested: the patient ID has a character with a meaning in queries (* ? or \\)."
    ),
    "priors-patient-not-certain": N_(
        "Priors were not requested: the files of the exam name different patients."
    ),
    "priors-error": N_("Priors could not be requested. See the log for details."),
    "priors-incomplete": N_("%(failed)d of %(count)d prior studies were not retrieved: %(reason)s"),
    "tls-certificates-unreadable": N_("The TLS certificates of the destination cannot be read: %(reason)s."),
    "server-untrusted": N_("The certificate of %(server)s is not trusted."),
    "server-connection-failed": N_("%(server)s cannot be reached: %(reason)s."),
    "uids-missing": N_("The object has no Study Instance UID or no SOP Instance UID."),
    "exam-files-missing": N_("Files of the exam are missing from the instance folder."),
    "results-not-written": N_("The results could not be created. See the log for details."),
}
