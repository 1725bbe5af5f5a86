//! Scenarios as drawings: the picture of the tree is the input and holds the expected entitlements.
//!
//! ```text
//! cluster 100
//! ├ production  reserves 60  uses 20             → 20
//! └ research    reserves 40  uses 40  asks 60    → 80
//! ```
//!
//! A line is a pool, its indentation says under which pool it hangs. After the name come any of `reserves N`,
//! `limit N`, `share N`, `static`, `uses N` (all that is used), `fixed N` (of that, non-preemptible), `asks N`
//! (eligible demand) and `→ N` (the entitlement that is expected). All in one dimension.

use weir_entitlement::{Condition, Entitlements, Input, Lender, Trace, entitle};
use weir_model::{Amount, Dim, Dimensions, PoolId, PoolSpec, PoolTree, ResourceKind, ResourceSpec};

/// The name of the root in drawings and answers.
const ROOT: &str = "cluster";

pub(crate) struct Scene {
    tree: PoolTree,
    dim: Dim,
    entitlements: Entitlements,
}

/// One line of a drawing.
#[derive(Default)]
struct Line {
    spec: PoolSpec,
    uses: Amount,
    fixed: Amount,
    asks: Amount,
    expected: Option<Amount>,
}

impl Scene {
    /// Computes what is drawn for `resource` and compares every pool that has an arrow.
    #[track_caller]
    pub(crate) fn of(resource: &str, drawing: &str) -> Self {
        let mut dims = Dimensions::new();
        let dim = dims.intern(resource);
        let mut drawn = drawing.lines().map(str::trim_end).filter(|line| !line.is_empty());
        let capacity = drawn.next().unwrap().trim().strip_prefix(ROOT).expect("the first line is the cluster");
        let lines = read(drawn, dim, &dims);
        let (tree, errors) = PoolTree::build(lines.iter().map(|line| line.spec.clone()).collect(), &dims);
        assert_eq!(errors, [], "the drawing is wrong");
        let mut input = Input::new(&tree);
        input.capacity.set(dim, number(capacity.trim()));
        for line in &lines {
            let pool = tree.find(&line.spec.name).unwrap();
            input.usage.set(pool, dim, line.uses);
            input.non_preemptible.set(pool, dim, line.fixed);
            input.demand.set(pool, dim, line.asks);
        }
        let entitlements = entitle(&tree, &dims, &input);
        let got = |line: &Line| entitlements.amount(tree.find(&line.spec.name).unwrap(), dim);
        let arrows = |amount: &dyn Fn(&Line) -> Amount| -> Vec<_> {
            let with_arrow = lines.iter().filter(|line| line.expected.is_some());
            with_arrow.map(|line| format!("{} → {}", line.spec.name, amount(line))).collect()
        };
        assert_eq!(arrows(&got), arrows(&|line| line.expected.unwrap()), "entitlements, left: computed, right: drawn");
        Self { tree, dim, entitlements }
    }

    pub(crate) fn trace(&self, pool: &str) -> Trace {
        self.entitlements.trace(self.pool(pool), self.dim)
    }

    /// The lenders of a pool and how much each lent, as a sentence.
    pub(crate) fn lenders(&self, pool: &str) -> String {
        let lenders = self.entitlements.lenders(self.pool(pool), self.dim);
        let sentences = lenders.iter().map(|borrowing| match borrowing.lender {
            Lender::Unreserved => format!("{} unreserved", borrowing.amount),
            Lender::Pool(pool) => format!("{} from {}", borrowing.amount, self.tree.name(pool)),
        });
        sentences.collect::<Vec<_>>().join(", ")
    }

    /// The conditions as sentences.
    pub(crate) fn conditions(&self) -> Vec<String> {
        let name = |pool| if pool == PoolId::ROOT { ROOT } else { self.tree.name(pool) };
        let sentence = |condition| match condition {
            Condition::OverReserved { pool, dim: _, reserved, available } => {
                format!("{}: {reserved} of {available} reserved", name(pool))
            }
            Condition::ReservationsScaled { pool, dim: _, lambda } => format!("{}: scaled by {lambda}", name(pool)),
        };
        self.entitlements.conditions().map(sentence).collect()
    }

    fn pool(&self, name: &str) -> PoolId {
        if name == ROOT { PoolId::ROOT } else { self.tree.find(name).unwrap() }
    }
}

fn read<'a>(drawn: impl Iterator<Item = &'a str>, dim: Dim, dims: &Dimensions) -> Vec<Line> {
    let mut above: Vec<(usize, String)> = Vec::new();
    let mut lines = Vec::new();
    for text in drawn {
        let depth = text.chars().take_while(|letter| " │├└─".contains(*letter)).count();
        above.retain(|&(other, _)| other < depth);
        let mut line = pool(text.trim_start_matches([' ', '│', '├', '└', '─']), dim, dims);
        line.spec.parent = above.last().map(|(_, name)| name.clone());
        above.push((depth, line.spec.name.clone()));
        lines.push(line);
    }
    lines
}

fn pool(text: &str, dim: Dim, dims: &Dimensions) -> Line {
    let mut words = text.split_whitespace();
    let mut line =
        Line { spec: PoolSpec { name: words.next().unwrap().into(), ..PoolSpec::default() }, ..Line::default() };
    let mut terms = ResourceSpec::unlisted(dims.default_share(dim));
    while let Some(word) = words.next() {
        let mut next = || number(words.next().expect("a number"));
        match word {
            "reserves" => terms.reservation = next(),
            "limit" => terms.limit = Some(next()),
            "share" => terms.share = u32::try_from(next().units()).unwrap(),
            "static" => terms.kind = ResourceKind::Static,
            "uses" => line.uses = next(),
            "fixed" => line.fixed = next(),
            "asks" => line.asks = next(),
            "→" => line.expected = Some(next()),
            _ => panic!("{word:?} means nothing in a drawing"),
        }
    }
    if terms != ResourceSpec::unlisted(dims.default_share(dim)) {
        line.spec.resources.push((dim, terms));
    }
    line
}

fn number(word: &str) -> Amount {
    Amount::new(word.parse().unwrap_or_else(|_| panic!("{word:?} is no number")))
}
