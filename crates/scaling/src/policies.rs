//! Several policies of one group.

use crate::group::{Group, Proposal, Why};

/// Combines the proposals of several policies: the largest wins, and capacity is removed only if every policy that may
/// scale in would remove it.
///
/// `proposals` come from all policies that take part. A policy that wants no change proposes the desired capacity. If
/// it does so only because it must not scale in ([`Why::ScaleInDisabled`]), it does not keep others from scaling in.
pub fn together(group: &Group, proposals: &[Proposal]) -> Option<Proposal> {
    let most = proposals.iter().max_by_key(|proposal| proposal.desired)?;
    if most.desired > group.desired {
        return Some(*most);
    }
    let mut voices = proposals
        .iter()
        .filter(|proposal| proposal.why != Why::ScaleInDisabled);
    let first = voices.next()?;
    let kept = voices.fold(
        first,
        |kept, other| if other.desired > kept.desired { other } else { kept },
    );
    if kept.desired < group.desired {
        return Some(*kept);
    }
    let is_overruled = proposals.iter().any(|proposal| proposal.desired < group.desired);
    let why = if is_overruled { Why::OtherPolicy } else { kept.why };
    Some(Proposal {
        desired: group.desired,
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_wins_and_taking_away_needs_all() {
        let group = Group {
            minimum: 0,
            maximum: 100,
            desired: 10,
            in_service: 10,
            warming: 0,
        };
        let of = |desired, why| Proposal { desired, why };
        let up = |desired| of(desired, Why::AboveTarget);
        let down = |desired| of(desired, Why::BelowTarget);
        let stays = of(10, Why::Enough);
        let only_out = of(10, Why::ScaleInDisabled);
        for (proposals, wanted) in [
            (vec![], None),
            (vec![stays], Some(stays)),
            (vec![up(12), up(15), down(5)], Some(up(15))),
            (vec![down(5), down(7)], Some(down(7))),
            (vec![down(5), stays], Some(of(10, Why::OtherPolicy))),
            (
                vec![down(5), of(10, Why::NoMetric)],
                Some(of(10, Why::OtherPolicy)),
            ),
            (vec![down(5), only_out], Some(down(5))),
            (vec![only_out], None),
        ] {
            assert_eq!(together(&group, &proposals), wanted, "{proposals:?}");
        }
    }
}
