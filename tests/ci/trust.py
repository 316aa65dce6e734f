"""Judges a role's trust policy for a token's claims, as STS does for AssumeRoleWithWebIdentity.

In: the policy as bootstrap wrote it, and claims whose signature was verified. Out: whether it allows them. An operator that is not known
here is an error, never a yes.
"""

import fnmatch

# Where the account's provider says that tokens come from. The test's issuer stands where GitHub's is.
PROVIDER = "token.actions.githubusercontent.com"


class Refused(Exception):
    """A request that GitHub or AWS would refuse, with the reason."""


def condition_holds(operator, wanted, found):
    """Evaluates one condition of a trust policy."""
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if found is None:
        return False
    if operator == "StringEquals":
        return found in wanted
    if operator == "StringLike":
        return any(fnmatch.fnmatchcase(found, pattern) for pattern in wanted)
    raise Refused(f"the condition operator {operator} is not known here")


def trusts(policy, account, claims):
    """Tells whether a trust policy allows a token; a statement without a condition on its claims allows none."""
    for statement in policy["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        if statement["Effect"] != "Allow" or "sts:AssumeRoleWithWebIdentity" not in actions:
            continue
        if statement.get("Principal", {}).get("Federated") != f"arn:aws:iam::{account}:oidc-provider/{PROVIDER}":
            continue
        conditions = [
            condition_holds(operator, wanted, claims.get(key.removeprefix(f"{PROVIDER}:")))
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        ]
        if conditions and all(conditions):
            return True
    return False
