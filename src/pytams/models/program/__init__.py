"""Models that are programs of any language, with restart files."""
