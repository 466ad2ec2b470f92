"""Charts as SVG without script or inline style: they scale, and they print. Callers supply words and values."""
