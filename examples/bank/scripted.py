"""The bank's advisers as a script, for running without a model: canned answers, chosen by words.

Two of them imitate bad days, so that the log shows them: the word *declined* meets a server that fails
once, and *contactless* an answer that breaks its contract once.
"""

from interlock.agents.scripted import Answer, Script, ScriptedAgent, after_tool, calls, fails, gives, rules, when
from interlock.contracts.agents import AgentRequest


def at_first(bad: Answer, then: Answer) -> Script:
    """`bad` for the first attempt in a conversation, `then` for every later one."""
    seen: set[str] = set()

    def answer(request: AgentRequest) -> Answer:
        conversation = request.effect.partition(":")[0]
        if conversation in seen:
            return then
        seen.add(conversation)
        return bad

    return answer


_ON_ITS_WAY = "Your new card was sent and should arrive by 27 November. If it does not, tell me and we send another."
_PIN = "You can see your PIN in the app under Card, Show PIN. Three wrong tries lock it until the next day."
_CONTACTLESS = "Contactless starts working after one payment with your PIN. If it still does not, tell me."
_DECLINED = (
    "I am sorry, that is unpleasant. Please try the card once with its PIN; if it is declined again, "
    "tell me the shop and the time."
)
_IDENTITY = "Open the app under Profile, Identity, and photograph both sides of your passport or ID card."
_TOP_UP = "Top-ups by card are immediate; by bank transfer they take up to one working day."
_FEES = "Transfers in euros are free; in other currencies we take 0.5 %."
_TRANSFERS = (
    "Transfers within the euro area arrive within one working day. If yours is late, check the account number "
    "under Payments, Sent."
)


def _card() -> Script:
    return rules(
        after_tool("card_status", then=gives(reply=_ON_ITS_WAY)),
        when("insurance", then=gives(outcome="unsure")),
        when("lawyer", "sue", then=gives(outcome="refused", reply="I may not advise on legal questions.")),
        when(
            "contactless",
            then=at_first(gives(reply=_CONTACTLESS, needs_person="probably not"), gives(reply=_CONTACTLESS)),
        ),
        when("declined", then=at_first(fails("server_error"), gives(reply=_DECLINED))),
        when("arriv", "deliver", "track", "waiting", "order", "ordr", "where", "come", then=calls("card_status")),
        when("pin", then=gives(reply=_PIN)),
        when("complain", "useless", then=gives(reply="I am sorry about that.", needs_person=True)),
        otherwise=gives(reply=_DECLINED),
    )


def _account() -> Script:
    return rules(
        after_tool("branch_hours", then=gives(reply="Our branches are open Monday to Friday, 9 to 17.")),
        when("insurance", then=gives(outcome="unsure")),
        when("opening", "open", "hours", "branch", then=calls("branch_hours")),
        when("top", then=gives(reply=_TOP_UP)),
        when("verify", "identity", "passport", "proof", then=gives(reply=_IDENTITY)),
        when("fee", "cost", "charge", then=gives(reply=_FEES)),
        when("balance", then=gives(reply="Your balance is at the top of the app's first page, updated at once.")),
        otherwise=gives(reply=_TRANSFERS),
    )


def scripted() -> ScriptedAgent:
    """Both advisers; no model is called."""
    return ScriptedAgent({"card_adviser": _card(), "account_adviser": _account()}, name="scripted")
