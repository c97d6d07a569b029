//! How many shares a file gets, and how many losses it must survive.

use guifi_tahoe::Encoding;

use crate::problem::{Problem, Reason};

/// Shares needed and made on a grid that is large enough, as in Tahoe.
const USUAL: [usize; 2] = [3, 10];
/// Servers that must hold shares, in tenths of the shares made, rounded up.
const HAPPY_TENTHS: usize = 7;

/// What the administrator wants.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Policy {
    /// Shares needed, servers that must hold some, shares made; none: by the grid's size.
    pub fixed: Option<[u16; 3]>,
    /// Servers that may be lost, at least; else nothing is stored.
    pub survive: u16,
}

/// The numbers of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Plan {
    /// Shares needed and made.
    pub(crate) encoding: Encoding,
    /// Servers that must hold different shares.
    pub(crate) happy: usize,
}

impl Plan {
    /// Any so many servers may be lost.
    pub(crate) fn survives(&self) -> usize {
        self.happy - self.encoding.needed().min(self.happy)
    }
}

impl Policy {
    /// The numbers on a grid of so many known servers, whether they answer now or not: what is
    /// promised does not shrink because some are away.
    ///
    /// # Errors
    /// If there is no server, or too few for what is wanted.
    pub(crate) fn plan(&self, servers: usize) -> Result<Plan, Problem> {
        if servers == 0 {
            return Err(Problem::new(
                Reason::Unavailable,
                "no storage server is known",
            ));
        }
        let [needed, happy, total] = match self.fixed {
            Some(numbers) => numbers.map(usize::from),
            None => automatic(servers),
        };
        let small = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        let encoding = Encoding::new(small(needed), small(total))?;
        let plan = Plan { encoding, happy };
        if happy > servers {
            return Err(Problem::new(
                Reason::Unavailable,
                format!("files need {happy} storage servers, but only {servers} are known"),
            ));
        }
        if plan.survives() < self.survive.into() {
            return Err(Problem::new(
                Reason::Unavailable,
                format!(
                    "files must survive the loss of any {} storage servers, but with {servers} servers they \
                     would survive that of {}",
                    self.survive,
                    plan.survives()
                ),
            ));
        }
        Ok(plan)
    }
}

/// Servers that must hold different shares of a file of any encoding, on a grid of so many.
pub(crate) fn happy(encoding: Encoding, servers: usize) -> usize {
    let usual = (encoding.total() * HAPPY_TENTHS).div_ceil(10);
    usual.min(servers).max(encoding.needed())
}

/// One share a server on small grids, the same proportions.
fn automatic(servers: usize) -> [usize; 3] {
    let [usual_needed, usual_total] = USUAL;
    let total = servers.min(usual_total);
    let needed = ((total * usual_needed + usual_total / 2) / usual_total).max(1);
    let happy = (total * HAPPY_TENTHS).div_ceil(10).max(needed);
    [needed, happy, total]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn small_grids_keep_the_proportions() {
        for (servers, numbers, survives) in [
            (1, [1, 1, 1], 0),
            (2, [1, 2, 2], 1),
            (3, [1, 3, 3], 2),
            (4, [1, 3, 4], 2),
            (6, [2, 5, 6], 3),
            (9, [3, 7, 9], 4),
            (10, [3, 7, 10], 4),
            (500, [3, 7, 10], 4),
        ] {
            assert_eq!(automatic(servers), numbers, "{servers}");
            let plan = Policy::default().plan(servers).unwrap();
            assert_eq!(plan.survives(), survives, "{servers}");
        }
    }

    #[test]
    fn what_cannot_be_promised_is_refused() {
        assert!(Policy::default().plan(0).is_err());
        let fixed = Policy {
            fixed: Some([3, 7, 10]),
            survive: 0,
        };
        assert!(fixed.plan(6).is_err());
        let safe = Policy {
            fixed: None,
            survive: 2,
        };
        assert!(safe.plan(2).is_err());
        assert!(safe.plan(3).is_ok());
    }
}
