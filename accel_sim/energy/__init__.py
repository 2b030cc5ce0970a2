"""Energy, as functions of counts, the machine and the measured activity."""
