"""StudyResult -> terminal table, figures, one HTML file, CSV and JSON."""
