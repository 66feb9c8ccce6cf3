"""Statements that wait to run as one job."""

from collections.abc import Mapping, Sequence

from st_kpi.warehouse.bigquery.values import Parameter, numbered
from st_kpi.warehouse.labels import current_labels


class Script:
    """Statements in their order, each with its own parameters, which get its number."""

    def __init__(self) -> None:
        self._statements: list[str] = []
        self._parameters: list[Parameter] = []
        #: Of the work that the last statement is part of.
        self.labels: Mapping[str, str] = {}

    def __len__(self) -> int:
        return len(self._statements)

    def add(self, sql: str, parameters: Sequence[Parameter] = ()) -> None:
        """Run the statement after those that are there."""
        number = len(self._statements)
        self.labels = current_labels()
        self._statements.append(numbered(sql, number) if parameters else sql)
        for parameter in parameters:
            parameter.name = f"{parameter.name}_{number}"
            self._parameters.append(parameter)

    def take(self) -> tuple[list[str], list[Parameter]]:
        """The statements and their parameters; nothing waits any more."""
        taken = self._statements, self._parameters
        self._statements, self._parameters = [], []
        return taken
