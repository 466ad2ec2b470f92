"""The core: from the bytes of a file to a calibrated answer with its map. No web, no database, no training."""
