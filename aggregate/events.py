"""SQL of each event: the rows of a measure after all its unnesting, from the records that count. Weighting comes after.

An event adds to the columns of its record what its keys are made of (`aggregate.key_expressions`): `intervention`, `earlier`,
`seen`, `tactic`, `failure_mode`, `stage`, `ending`, `change_class`, `change_group`.
"""

from collections.abc import Mapping

from schemas.codes import OPEN_OUTCOMES, domains
from schemas.keys import ENDED, FOLLOWED, NO_FAILURE, UNKNOWN
from schemas.plan import OUTCOME_EVENTS, Event, Measure, ReleasePlan

_OUTCOMES = ("interventions.outcomes.kind", "interventions.outcomes.value", "interventions.outcomes.window")

EVENT_COLUMNS: Mapping[Event, tuple[str, ...]] = {
    Event.RECORD: (),
    Event.INTERVENTION_OUTCOME: _OUTCOMES,
    Event.EVASION_TACTIC: ("evasion.tactics", "interventions.type", "interventions.turn", "n_turns"),
    Event.FAILURE_MODE: ("failure_modes",),
    Event.REFERRAL: (*_OUTCOMES, "interventions.type"),
    Event.FOLLOWED_CONVERSATION: (*_OUTCOMES, "interventions.turn", "n_turns"),
    Event.CHANGE_OUTCOME: (*_OUTCOMES, "started_at", "deployment.experiment"),
}
"""Columns of the record that making an event's rows reads, fields in them with dots; its keys may read more. No other is loaded."""

_INTERVENTIONS = """
    select * exclude (position), interventions[position] as intervention, position - 1 as earlier
    from (select *, unnest(range(1, len(interventions) + 1)) as position from records)"""


_SEEN = f"""
    select * from (select *, unnest(intervention.outcomes) as seen from ({_INTERVENTIONS}))
    where seen.kind = $kind and seen."window" = $window"""


def _with(kind: str, value: str) -> str:
    """Whether an intervention has an outcome of a kind with a value, in any window."""
    return f"len(list_filter(intervention.outcomes, lambda o: o.kind = '{kind}' and o.value = '{value}')) > 0"


_ROWS: Mapping[Event, str] = {
    Event.RECORD: "select * from records",
    Event.INTERVENTION_OUTCOME: _SEEN,
    # A record's tactics and whether they got around are not told by intervention: the first one stands for the conversation.
    Event.EVASION_TACTIC: """
        select *, unnest(evasion.tactics) as tactic,
               {'type': coalesce(interventions[1].type, 'no_intervention'), 'turn': coalesce(interventions[1].turn, n_turns)}
                   as intervention
        from records""",
    Event.FAILURE_MODE: f"""
        select * exclude (failure_modes),
               unnest(case when len(failure_modes) > 0 then failure_modes else ['{NO_FAILURE}'] end) as failure_mode
        from records""",
    Event.REFERRAL: f"""
        select *,
               {{'value': coalesce(list_filter(intervention.outcomes, lambda o: o.kind = $kind and o."window" = $window)[1].value,
                                   '{UNKNOWN}')}} as seen,
               case when {_with("handoff_completed", "yes")} then 'handed_off'
                    when {_with("resource_opened", "yes")} then 'opened'
                    when {_with("handoff_completed", "no")} or {_with("resource_opened", "no")} then 'shown'
                    else '{UNKNOWN}' end as stage
        from ({_INTERVENTIONS}) where list_contains($referrals, intervention.type)""",
    # Followed from its start to the first intervention whose outcome ends it or is not known, or to its last turn.
    Event.FOLLOWED_CONVERSATION: f"""
        with told as (
                select *, list_filter(list_transform(interventions, lambda i: {{
                    'turn': i.turn, 'value': list_filter(i.outcomes, lambda o: o.kind = $kind and o."window" = $window)[1].value
                    }}), lambda i: i.value is not null) as outcomes
                from records),
             followed as (
                select *, list_filter(outcomes, lambda i: list_contains($ends_at, i.value) or list_contains($open, i.value))[1]
                    as stop
                from told where len(outcomes) > 0)
        select *, {{'turn': coalesce(stop.turn, n_turns)}} as intervention,
               case when list_contains($ends_at, stop.value) then '{ENDED}' else '{FOLLOWED}' end as ending
        from followed""",
    # `compared` (`aggregate.comparing`) says of whom, when, and of which part of the users. A user's own hash places the user.
    Event.CHANGE_OUTCOME: f"""
        with placed as (
                select *, deployment.experiment as own, ('0x' || left(sha256(encode($secret) || unit::blob), 8))::bigint as place
                from ({_SEEN})
                where company in (select company from compared))
        select placed.*, change_class, change_group
        from placed join compared on placed.company = compared.company
            and started_at >= since and started_at < until and place >= low and place < high
            and case when experiment <> ''
                     then own.id = experiment and own.assigned in $by_chance and (own.arm = arm) = with_change
                     else not coalesce(list_contains(apart, own.id) and own.assigned in $by_chance, false) end""",
}

_BY_CHANCE = ("randomised_user", "randomised_session")


def event_rows(measure: Measure, plan: ReleasePlan, secret: bytes) -> tuple[str, dict[str, object]]:
    """SQL of the rows of a measure's event over the table `records`, and the parameters that it takes.

    `secret` is the key of what is placed by hash.
    """
    parameters: dict[str, object] = {}
    if measure.event in OUTCOME_EVENTS:
        parameters |= {"kind": measure.outcome_kind, "window": measure.window}
    if measure.event is Event.REFERRAL:
        parameters["referrals"] = list(domains()[plan.domain].referrals)
    if measure.event is Event.CHANGE_OUTCOME:
        parameters |= {"by_chance": list(_BY_CHANCE), "secret": secret.hex()}
    if measure.event is Event.FOLLOWED_CONVERSATION:
        parameters |= {"ends_at": list(measure.ends_at), "open": list(OPEN_OUTCOMES)}
    return _ROWS[measure.event], parameters
