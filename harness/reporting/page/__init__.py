"""What the report's page shows, one idea a file; `harness.reporting.html` puts it together."""
