"""Models, their bundles and their training."""

from birads_app.terms.translation import N_

MODEL = {
    "model-missing": N_(
        "No model is installed. Train one with `flask train --data DIR --name NAME --promote`, or promote"
        " one with `flask models promote NAME`."
    ),
    "no-previous-model": N_("There is no earlier model to go back to."),
    "current-unreadable": N_("%(file)s cannot be read. Remove it, then `flask models promote NAME`."),
    "previous-model-changed": N_("%(name)s is not the model before any more. Look again, then decide."),
    "out-of-distribution": N_(
        "The image is unlike those that the model learned from, more so than nearly all mammograms it was"
        " tried on: do not trust the answer, however sure it looks."
    ),
    "graphs-unreadable": N_("The graphs of model %(name)s cannot be read: %(reason)s. Retrain it."),
    "graphs-mismatch": N_("The graphs of model %(name)s do not fit together. Retrain it."),
    "bad-model-output": N_(
        "Model %(name)s gives %(values)d values for its %(classes)d categories, or values that are no "
        "numbers. Retrain it."
    ),
    "comparison-model-leaks": N_(
        "It was trained to be compared with (%(title)s). It leaks: its figures are too good. Only models "
        "of the protocol smote-train, split by patient, may be promoted."
    ),
    "comparison-model": N_(
        "It was trained to be compared with (%(title)s). Only models of the protocol smote-train, split "
        "by patient, may be promoted."
    ),
    "must-not-serve": N_(
        "%(name)s must not serve. %(objection)s An administrator may insist: --override-protocol."
    ),
    "bundle-name-taken": N_("There is already a model named %(name)s. Choose another --name."),
    "bundle-name-invalid": N_(
        "%(name)s cannot be a model's name. Use up to 64 letters, digits, dots, hyphens and underscores, "
        "beginning with a letter or digit."
    ),
    "bundle-missing": N_("There is no model named %(name)s. `flask models list` shows those there are."),
    "manifest-damaged": N_("The manifest of model %(name)s is damaged. Restore the folder or retrain."),
    "manifest-without-schema": N_(
        "The manifest of model %(name)s names no schema. Restore the folder or retrain."
    ),
    "schema-too-new": N_(
        "Model %(name)s has schema %(schema)d, this program reads up to %(supported)d. Update the program."
    ),
    "manifest-incomplete": N_("The manifest of model %(name)s is incomplete. Restore the folder or retrain."),
    "preprocessing-changed": N_(
        "Model %(name)s was made with preprocessing %(version)s, this program has %(supported)d. Retrain it."
    ),
    "bundle-file-missing": N_("Model %(model)s lacks %(file)s. Restore the folder or retrain."),
    "bundle-file-changed": N_(
        "%(file)s of model %(model)s was changed or damaged. Restore the folder or retrain."
    ),
    "bundle-file-unreadable": N_("%(file)s of model %(model)s cannot be read: %(reason)s."),
    "bundle-file-damaged": N_("Model %(name)s has a damaged %(file)s. Retrain."),
    "training-folder-not-allowed": N_(
        "%(folder)s is not inside a folder that may be trained from, which BIRADS_TRAINING_DATA_DIRS names. "
        "It names: %(roots)s."
    ),
    "training-folder-missing": N_("There is no folder %(folder)s on the server."),
    "training-name-taken": N_("There is already a model named %(name)s. Choose another name."),
    "training-not-resumable": N_("The training of %(name)s cannot go on. Start a new one."),
    "training-not-running": N_("The training of %(name)s does not run."),
    "training-missing": N_("There is no such training."),
    "training-busy": N_("Another training is running. Stop it, or wait until it has finished."),
}
