"""`make bench-poisoning`: how far one company alone can move a published cell, by the rules and by how much it has.

Exact, without noise: a cell is published where the mass outside its K - 1 largest companies is positive and no company holds
more than the share r. The attacker says of its own users what it likes; quotas and bounding keep it to one weight a user.
"""

from collections import defaultdict
from fractions import Fraction

from benchmarks.report import report
from flows.pool import packaged_config
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from schemas.parameters import load_privacy_parameters

USERS = 6_000


def published(masses: dict[str, int], minimum: int, share: Fraction) -> bool:
    """Whether the company rules let a cell through."""
    ordered = sorted(masses.values(), reverse=True)
    total = sum(ordered)
    return sum(ordered[minimum - 1 :]) > 0 and ordered[0] <= share * total


def cells_of(companies: int) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Users by ideation and company, each user once; and users by company."""
    levels: dict[str, dict[str, str]] = defaultdict(dict)
    for valid in (
        generate(SimulationParameters(seed=5, users=USERS, companies=companies, quarters=1, text_share=0.0)).quarters[0].records()
    ):
        levels[valid.company].setdefault(str(valid.record["user_pseudonym"]), str(valid.record["risk"]["ideation"]))
    cells: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(levels, 0))
    for company, users in levels.items():
        for level in users.values():
            cells[level][company] += 1
    return dict(cells), {company: len(users) for company, users in levels.items()}


def main() -> None:
    """For pools of 3, 6 and 12 companies, the largest company attacks."""
    rules = load_privacy_parameters(packaged_config("privacy.toml")).companies
    minimum, share = rules.minimum, Fraction(rules.dominance_share)
    metrics: dict[str, float] = {}
    for companies in (3, 6, 12):
        cells, users = cells_of(companies)
        attacker = max(users, key=lambda name: users[name])
        open_before = [name for name, masses in cells.items() if published(masses, minimum, share)]
        factors, hidden, alone = [], 0, 0
        for name in cells:
            masses, largest = cells[name], 0
            for mass in range(users[attacker] + 1):
                if published({**masses, attacker: mass}, minimum, share):
                    largest = mass
            others = sum(n for company, n in masses.items() if company != attacker)
            if name in open_before:
                factors.append((others + largest) / sum(masses.values()))
                hidden += not published({**masses, attacker: users[attacker]}, minimum, share)
            alone += published({**dict.fromkeys(masses, 0), attacker: users[attacker]}, minimum, share)
        metrics[f"{companies}_companies_attackers_share_of_users"] = users[attacker] / sum(users.values())
        metrics[f"{companies}_companies_cells_published"] = len(open_before)
        metrics[f"{companies}_companies_largest_factor_up"] = max(factors)
        metrics[f"{companies}_companies_cells_it_can_have_withheld"] = hidden
        metrics[f"{companies}_companies_cells_it_can_make_alone"] = alone
    report("poisoning", metrics)


if __name__ == "__main__":
    main()
