"""A made-up tenant behind the real API shapes, and its own books to prove the product with.

Nothing here imports the rest of the product.
"""

from st_kpi.sandbox.app import create_app
from st_kpi.sandbox.books import Books, BookValue
from st_kpi.sandbox.company import Company, SandboxCredentials
from st_kpi.sandbox.faults.app import Fault, Faults, misbehave
from st_kpi.sandbox.generate import generate_company
from st_kpi.sandbox.life.day import live
from st_kpi.sandbox.serve import serve

__all__ = [
    "BookValue",
    "Books",
    "Company",
    "Fault",
    "Faults",
    "SandboxCredentials",
    "create_app",
    "generate_company",
    "live",
    "misbehave",
    "serve",
]
