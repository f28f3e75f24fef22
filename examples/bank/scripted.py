"""The bank's advisers as a script, for running without a model: canned answers, chosen by words."""

from interlock.agents.scripted import ScriptedAgent, after_tool, calls, gives, rules, when

_CARD = rules(
    after_tool("card_status", then=gives(
        reply="Your new card was sent and should arrive by 27 November. If it does not, tell me and we send another.")),
    when("insurance", then=gives(outcome="unsure")),
    when("lawyer", "sue", then=gives(outcome="refused", reply="I may not advise on legal questions.")),
    when("arriv", "deliver", "track", "come", "waiting", "order", then=calls("card_status")),
    when("pin", then=gives(reply="You can see your PIN in the app under Card, Show PIN. Three wrong tries lock it "
                                 "until the next day.")),
    when("contactless", then=gives(reply="Contactless starts working after one payment with your PIN.")),
    when("complain", "useless", then=gives(reply="I am sorry about that.", needs_person=True)),
    otherwise=gives(reply="Please try the card once with its PIN. If it is declined again, tell me the shop and the "
                          "time, and I will look into it."),
)

_ACCOUNT = rules(
    after_tool("branch_hours", then=gives(reply="Our branches are open Monday to Friday, 9 to 17.")),
    when("insurance", then=gives(outcome="unsure")),
    when("opening", "open", "hours", "branch", then=calls("branch_hours")),
    when("top", then=gives(reply="Top-ups by card are immediate; by bank transfer they take up to one working day.")),
    when("verify", "identity", "passport", "proof", then=gives(
        reply="Open the app under Profile, Identity, and photograph both sides of your passport or ID card.")),
    when("fee", "cost", "charge", then=gives(reply="Transfers in euros are free; in other currencies we take 0.5 %.")),
    when("balance", then=gives(reply="Your balance is at the top of the app's first page, updated at once.")),
    otherwise=gives(reply="Transfers within the euro area arrive within one working day. If yours is late, check the "
                          "account number under Payments, Sent."),
)


def scripted() -> ScriptedAgent:
    """Both advisers; no model is called."""
    return ScriptedAgent({"card_adviser": _CARD, "account_adviser": _ACCOUNT}, name="scripted")
