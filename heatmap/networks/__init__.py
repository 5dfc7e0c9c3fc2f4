"""Networks by name, file or module: loaded, adapted, summarised, exported."""
