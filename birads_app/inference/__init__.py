"""The core: from a file's bytes to a calibrated answer with its map. No web, no database, no training."""
