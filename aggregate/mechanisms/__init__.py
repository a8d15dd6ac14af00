"""OpenDP: the only place that draws noise, and the only place that turns noise into a privacy loss."""
