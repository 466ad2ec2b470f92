"""Texts about tables that cannot be read."""

from birads_app.terms.translation import N_

TABLE = {
    "table-row-too-long": N_(
        "Line %(line)s has %(cells)s cells, but the header has %(columns)s. Put cells that contain the "
        "separator in quotation marks."
    ),
    "table-workbook": N_("This is a spreadsheet file. Export the sheet as CSV and use the exported file."),
    "table-empty": N_("The table is empty."),
    "table-encoding": N_(
        "This is not a text table in UTF-8, UTF-16 or Windows-1252. Export the table as CSV and use the "
        "exported file."
    ),
    "table-quotation-mark": N_(
        "Line %(line)s cannot be read: a quotation mark is not closed, or text follows a closing one."
    ),
    "table-column-twice": N_("The column “%(column)s” occurs twice. Delete or rename one of them."),
}
