"""Objects of the company as the JSON the API sends: names, nesting, strings and nulls as there."""
