"""Steps of the recipes, beside published code."""
