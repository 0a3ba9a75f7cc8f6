"""How far given labels can be believed."""
