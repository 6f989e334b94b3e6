//! What the answers of the application behind the server come to, beside what rules say.

use super::{RuleRefusal, Ruling};
use crate::app::backend::{HookFailure, HookOutcome, HookWords};

/// What an outcome means for who asked, where rules have said that.
#[must_use]
pub fn ruling(outcome: &HookOutcome, rules: Ruling, failure: HookFailure) -> Ruling {
    let said = match (outcome, failure) {
        (HookOutcome::Said(words), _) => match words.allow {
            None => rules,
            Some(true) => Ruling::Allow,
            Some(false) => Ruling::Refuse(refusal(words)),
        },
        (HookOutcome::Failed, HookFailure::Allow) => Ruling::Allow,
        (HookOutcome::Failed, HookFailure::Deny) => Ruling::Refuse(UNREACHABLE),
    };
    match rules {
        Ruling::Refuse(_) => rules,
        Ruling::Pass | Ruling::Allow => said,
    }
}

/// What a call returns, if anybody has answered it.
///
/// # Errors
/// Why it fails.
pub(super) fn returned(outcome: HookOutcome) -> Option<Result<Box<str>, RuleRefusal>> {
    let HookOutcome::Said(words) = outcome else {
        return Some(Err(UNREACHABLE));
    };
    match words.allow {
        Some(false) => Some(Err(refusal(&words))),
        Some(true) => Some(Ok(words.data.unwrap_or_else(|| "null".into()))),
        None => words.data.map(Ok),
    }
}

const fn refusal(words: &HookWords) -> RuleRefusal {
    RuleRefusal {
        is_too_often: false,
        code: words.code,
        reason: words.reason,
    }
}

/// Nobody answers; later somebody may.
const UNREACHABLE: RuleRefusal = RuleRefusal {
    is_too_often: true,
    code: Some(100),
    reason: "the application cannot be asked now",
};

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> HookOutcome {
        HookOutcome::Said(Box::new(HookWords::read(text.as_bytes()).unwrap()))
    }

    #[test]
    fn an_answer_allows_denies_or_leaves_it_to_the_rules_which_may_refuse_all_the_same() {
        let rule = Ruling::deny("a rule");
        for failure in [HookFailure::Deny, HookFailure::Allow] {
            for (text, pass) in [
                ("{}", Ruling::Pass),
                (" ", Ruling::Pass),
                (r#"{"allow":true,"news":[{}]}"#, Ruling::Allow),
            ] {
                assert_eq!(ruling(&said(text), Ruling::Pass, failure), pass, "{text}");
                assert_eq!(ruling(&said(text), rule, failure), rule, "{text}");
            }
        }
        let denied = said(r#"{"allow":false,"code":4001,"reason":"not \u00fc"}"#);
        let refusal = ruling(&denied, Ruling::Allow, HookFailure::Allow).refusal();
        let refusal = refusal.unwrap();
        assert_eq!((refusal.code, refusal.reason), (Some(4001), "not ü"));
        let failed = |failure| ruling(&HookOutcome::Failed, Ruling::Pass, failure);
        assert_eq!(failed(HookFailure::Allow), Ruling::Allow);
        assert_eq!(failed(HookFailure::Deny).refusal(), Some(UNREACHABLE));
    }

    #[test]
    fn a_call_returns_data_or_fails_and_an_empty_answer_is_none() {
        let answered = |text| returned(said(text)).map(|it| it.map_err(|it| it.reason));
        assert_eq!(
            answered(r#"{"data":{"a":1}}"#),
            Some(Ok(r#"{"a":1}"#.into()))
        );
        assert_eq!(answered(r#"{"allow":true}"#), Some(Ok("null".into())));
        assert_eq!(
            answered(r#"{"allow":false,"reason":"no"}"#),
            Some(Err("no"))
        );
        assert_eq!(answered("{}"), None);
        assert_eq!(returned(HookOutcome::Failed), Some(Err(UNREACHABLE)));
    }
}
