"""The engine: runs → curves and numbers. Pure: it knows neither storage nor tracking nor a command line."""
