//! The assignment problem: one column to each row, at the least cost.

/// Stands for a cost that is no number: no assignment takes it that can do without.
const NO_COST: f64 = 1e100;

/// Pairs of row and column, sorted by row, whose costs have the least sum: as many as there are
/// rows or columns, whichever are fewer, each in one pair at most.
///
/// The Hungarian method with potentials, `O(n^2 m)` for `n <= m`; it solves what SciPy's
/// `linear_sum_assignment` solves. Costs that are no finite numbers are taken for very large ones.
///
/// # Panics
/// If the rows are not of one length.
pub fn assign(costs: &[Vec<f64>]) -> Vec<(usize, usize)> {
    let columns = costs.first().map_or(0, Vec::len);
    assert!(
        costs.iter().all(|row| row.len() == columns),
        "rows must be of one length"
    );
    let cost = |row: usize, column: usize| {
        let cost = costs[row][column];
        if cost.is_finite() { cost } else { NO_COST }
    };
    if costs.len() <= columns {
        return solve(costs.len(), columns, cost);
    }
    let mut pairs: Vec<(usize, usize)> =
        solve(columns, costs.len(), |row, column| cost(column, row))
            .into_iter()
            .map(|(column, row)| (row, column))
            .collect();
    pairs.sort_unstable();
    pairs
}

/// A column while rows are joining.
#[derive(Debug, Clone, Copy)]
struct Column {
    /// The row that has it, from 1; 0 for none.
    row: usize,
    potential: f64,
    /// What the cheapest way to it costs, as far as it has been looked for.
    slack: f64,
    /// The column before it on that way.
    came_from: usize,
    is_reached: bool,
}

/// Solves the problem for no more rows than columns.
///
/// Rows join one by one. Each looks for the cheapest way to a free column, along which those that
/// have joined before may have to give up theirs. Column 0 stands for the row that joins.
fn solve(rows: usize, columns: usize, cost: impl Fn(usize, usize) -> f64) -> Vec<(usize, usize)> {
    let mut row_potential = vec![0.0; rows + 1];
    let mut columns = vec![
        Column {
            row: 0,
            potential: 0.0,
            slack: f64::INFINITY,
            came_from: 0,
            is_reached: false,
        };
        columns + 1
    ];
    for joining in 1..=rows {
        for column in &mut columns {
            column.slack = f64::INFINITY;
            column.is_reached = false;
        }
        let mut place = 0;
        columns[0].row = joining;
        loop {
            columns[place].is_reached = true;
            let row = columns[place].row;
            let (mut step, mut next) = (f64::INFINITY, 0);
            for (other, column) in columns.iter_mut().enumerate().skip(1) {
                if column.is_reached {
                    continue;
                }
                let reduced = cost(row - 1, other - 1) - row_potential[row] - column.potential;
                if reduced < column.slack {
                    column.slack = reduced;
                    column.came_from = place;
                }
                if column.slack < step {
                    (step, next) = (column.slack, other);
                }
            }
            for column in &mut columns {
                if column.is_reached {
                    row_potential[column.row] += step;
                    column.potential -= step;
                } else {
                    column.slack -= step;
                }
            }
            place = next;
            if columns[place].row == 0 {
                break;
            }
        }
        while place != 0 {
            let before = columns[place].came_from;
            columns[place].row = columns[before].row;
            place = before;
        }
    }
    let mut pairs: Vec<(usize, usize)> = columns
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(_, column)| column.row != 0)
        .map(|(place, column)| (column.row - 1, place - 1))
        .collect();
    pairs.sort_unstable();
    pairs
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn sum(costs: &[Vec<f64>], pairs: &[(usize, usize)]) -> f64 {
        pairs.iter().map(|&(row, column)| costs[row][column]).sum()
    }

    #[test]
    fn square_by_hand() {
        // The example of SciPy's documentation: 1 + 2 + 2.
        let costs = [
            vec![4.0, 1.0, 3.0],
            vec![2.0, 0.0, 5.0],
            vec![3.0, 2.0, 2.0],
        ];
        assert_eq!(assign(&costs), [(0, 1), (1, 0), (2, 2)]);
    }

    #[test]
    fn rectangles_leave_some_out() {
        let wide = [vec![9.0, 1.0, 5.0], vec![9.0, 2.0, 9.0]];
        assert_eq!(assign(&wide), [(0, 2), (1, 1)]);
        let tall = [vec![9.0, 9.0], vec![1.0, 2.0], vec![5.0, 9.0]];
        assert_eq!(assign(&tall), [(1, 1), (2, 0)]);
    }

    #[test]
    fn nothing_pairs_with_nothing() {
        assert!(assign(&[]).is_empty());
        assert!(assign(&[vec![], vec![]]).is_empty());
    }

    #[test]
    fn what_is_no_number_is_avoided() {
        let costs = [vec![f64::NAN, 1.0], vec![1.0, f64::INFINITY]];
        assert_eq!(assign(&costs), [(0, 1), (1, 0)]);
        assert_eq!(assign(&[vec![f64::NAN]]), [(0, 0)]);
    }

    #[test]
    fn as_cheap_as_the_best_of_all_assignments() {
        fn cheapest(costs: &[Vec<f64>], used: &mut [bool]) -> f64 {
            let Some((row, rest)) = costs.split_first() else {
                return 0.0;
            };
            let mut best = f64::INFINITY;
            for (column, cost) in row.iter().enumerate() {
                if !used[column] {
                    used[column] = true;
                    best = best.min(cost + cheapest(rest, used));
                    used[column] = false;
                }
            }
            best
        }
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for (rows, columns) in [(1, 1), (2, 2), (3, 5), (5, 5), (4, 6)] {
            for _ in 0..20 {
                let mut row = || -> Vec<f64> {
                    (0..columns)
                        .map(|_| f64::from(rng.random_range(-4i32..9)))
                        .collect()
                };
                let costs: Vec<Vec<f64>> = (0..rows).map(|_| row()).collect();
                let pairs = assign(&costs);
                assert_eq!(pairs.len(), rows);
                let best = cheapest(&costs, &mut vec![false; columns]);
                assert!((sum(&costs, &pairs) - best).abs() < 1e-9, "{costs:?}");
                let turned: Vec<Vec<f64>> = (0..columns)
                    .map(|column| costs.iter().map(|row| row[column]).collect())
                    .collect();
                assert!(
                    (sum(&turned, &assign(&turned)) - best).abs() < 1e-9,
                    "{costs:?}"
                );
            }
        }
    }
}
