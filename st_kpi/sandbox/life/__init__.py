"""A day at the company: jobs are booked, sold, worked, paid and corrected."""
