"""Pure functions behind every number of a report: exact tests, intervals, multiplicity, power."""
