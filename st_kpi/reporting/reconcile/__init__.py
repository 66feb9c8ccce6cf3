"""ServiceTitan's own report beside our number: each row has one verdict, and what is left adds up to the gap.

``compare.reconcile`` is the door. A report comes from a file (``sheets``, ``table``) or from the Reporting API.
"""
