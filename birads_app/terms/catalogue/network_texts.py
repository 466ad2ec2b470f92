"""Other systems in the network: PACS, DICOM nodes, DICOMweb servers."""

from birads_app.terms.translation import N_

NETWORK = {
    "server-unreachable": N_("%(server)s cannot be reached. Check address, user and password."),
    "server-http-error": N_(
        "%(server)s answered with HTTP status %(status)d. Check address, user and password."
    ),
    "server-certificates-unusable": N_("%(server)s or its certificates cannot be used: %(reason)s."),
    "server-not-dicomweb": N_("%(server)s gave an answer that is not DICOMweb's. Check the address."),
    "no-study-for-results": N_("The exam's files name no study which its results could join."),
    "stored-picture-damaged": N_("A picture of the exam in the instance folder is damaged."),
    "node-unreachable": N_(
        "%(node)s cannot be reached, or ended the association. Check host, port, TLS, and that it runs."
    ),
    "node-refused-object": N_("%(node)s refused an object with status %(status)s; its log says why."),
    "server-refused-object": N_(
        "%(server)s refused an object with HTTP status %(status)d; its log says why."
    ),
    "node-untrusted": N_(
        "%(node)s has a certificate that is not trusted (%(reason)s). Check the certificate there, and "
        "BIRADS_PACS_TLS_AUTHORITIES here."
    ),
    "node-rejected-association": N_(
        "%(node)s rejected the association: %(reason)s. Check both AE titles at the destination."
    ),
    "node-classes-not-stored": N_("%(node)s does not store objects of these classes."),
    "node-class-not-stored": N_("%(node)s does not store objects of the class %(sop_class)s."),
    "node-aborted": N_("%(node)s ended the association before it answered."),
    "tls-certificates-unreadable": N_("The TLS certificates of the destination cannot be read: %(reason)s."),
    "server-untrusted": N_("%(server)s has a certificate that is not trusted."),
    "server-connection-failed": N_("%(server)s cannot be reached: %(reason)s."),
    "uids-missing": N_("It names neither study nor instance."),
    "exam-files-missing": N_("Files of the exam are missing from the instance folder."),
    "results-not-written": N_("The results cannot be written; the log says where."),
}
