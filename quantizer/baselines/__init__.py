"""Step rules of the literature, each by its source's own constants and equations."""
