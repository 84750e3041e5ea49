"""Commands: `meshpose <command>` or `python tools/<command>.py`."""
