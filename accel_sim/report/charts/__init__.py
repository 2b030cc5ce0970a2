"""Charts of results: what a page draws, and what files show, from one definition."""
