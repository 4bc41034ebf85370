"""A typology of one's own, as a scenario's `plugins` may name it; read by the tests."""

from banksim.fraud import Campaign, Steps, typology


@typology("refund_abuse", mean_size=3, mean_duration_s=1800)
def refund_abuse(campaign: Campaign) -> Steps:
    person = campaign.victim()
    amount = campaign.wallet.usual(person, "electronics")
    outcome = yield campaign.purchase(person, amount, role="attacker")
    if outcome.approved:
        yield campaign.deposit(person, amount, cash=False, role="attacker")
