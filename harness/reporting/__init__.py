"""Reporting: recorded runs → tables, figures and the page."""
