"""The machine as its YAML file states it, and the tables of physical facts behind it."""
