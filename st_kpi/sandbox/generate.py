"""Make the whole company from a seed and a scale, the same bytes on every machine."""

from __future__ import annotations

import gc
from random import Random

from st_kpi.sandbox.company import Company, SandboxCredentials
from st_kpi.sandbox.costs import write_costs
from st_kpi.sandbox.history import History
from st_kpi.sandbox.money import write_money
from st_kpi.sandbox.names import PAINTERS
from st_kpi.sandbox.other_names import naming_of
from st_kpi.sandbox.people import People
from st_kpi.sandbox.plan import planned_counts
from st_kpi.sandbox.reference import add_reference
from st_kpi.sandbox.traps import set_traps

#: The company that the demo, the tests and the mapping files of the repository know.
DEFAULT_SEED = 7


def generate_company(seed: int = DEFAULT_SEED, scale: float = 1.0) -> Company:
    """Generate the tenant; scale 1.0 is 161,332 jobs.

    Every seed but 7 is a tenant of its own: another id, other trades, and units and job types named in another way.

    Example: `generate_company(seed=7, scale=0.02)` has 3,227 jobs.
    """
    plan = planned_counts(scale)
    naming = PAINTERS if seed == DEFAULT_SEED else naming_of(Random(f"{seed}:names"))
    tenant_id = SandboxCredentials.TENANT_ID - DEFAULT_SEED + seed
    company = Company(tenant_id, naming.company)
    collecting = gc.isenabled()
    gc.disable()  # millions of live objects and no garbage: every collection would be wasted
    try:
        add_reference(company, Random(f"{seed}:reference"), naming)
        people_rng = Random(f"{seed}:people")
        people = People(company, people_rng, plan["customers"], plan["locations"])
        history = History(company, Random(f"{seed}:history"), people, plan, naming)
        history.write()
        write_money(company, Random(f"{seed}:money"), history.revenue, plan)
        write_costs(company, Random(f"{seed}:costs"), history.revenue)
        set_traps(company, Random(f"{seed}:traps"))
    finally:
        if collecting:
            gc.enable()
    return company
