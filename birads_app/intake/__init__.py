"""Intake of uploaded and received files as exams."""
