"""Tables, figures and pages that every experiment has."""
