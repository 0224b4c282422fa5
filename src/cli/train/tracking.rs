//! What a tracker goes on from, as named arrays and back.

use lnz::estimators::ladder::Positions;
use lnz::estimators::tracker::{State, Walkers};
use lnz::paths::Schedule;
use lnz::training::Arrays;
use ndarray::{Array1, Array3, ArrayD, Axis, Ix2, Ix3, stack};

/// The arrays of a state.
pub(super) fn arrays(state: &State) -> Arrays {
    let column = |values: &[f64]| Array1::from(values.to_vec()).into_dyn();
    let mut arrays = Arrays::from([("age".to_owned(), column(&[state.age as f64]))]);
    if let Some(Walkers { states, log_weights, starts, annealed_std_err }) = &state.walkers {
        let starts: Vec<f64> = starts.iter().map(|&start| start as f64).collect();
        arrays.extend([
            ("states".to_owned(), states.clone().into_dyn()),
            ("log_weights".to_owned(), column(log_weights)),
            ("starts".to_owned(), column(&starts)),
            ("annealed".to_owned(), column(&[*annealed_std_err])),
        ]);
    }
    if let Some(Positions { schedule, states }) = &state.ladder {
        let views: Vec<_> = states.iter().map(|states| states.view()).collect();
        let states: Array3<f64> = stack(Axis(0), &views).expect("as many systems on every rung");
        arrays.extend([
            ("betas".to_owned(), column(schedule.betas())),
            ("rungs".to_owned(), states.into_dyn()),
        ]);
    }
    arrays
}

/// The state that these arrays are of, `None` for no arrays; or what is wrong with them.
pub(super) fn state(mut arrays: Arrays) -> Result<Option<State>, String> {
    if arrays.is_empty() {
        return Ok(None);
    }
    let whole = arrays.contains_key("states");
    let climbing = arrays.contains_key("rungs");
    let mut take =
        |name: &str| arrays.remove(name).ok_or_else(|| format!("there is no `tracker.{name}` in it"));
    let values = |array: ArrayD<f64>| array.into_raw_vec_and_offset().0;
    let single = |array: ArrayD<f64>| match values(array)[..] {
        [value] => Ok(value),
        _ => Err("`tracker.age` or `tracker.annealed` is not one number".to_owned()),
    };
    let shaped = |error: ndarray::ShapeError| format!("its tracker's states: {error}");
    let age = single(take("age")?)? as usize;
    let walkers = if whole {
        Some(Walkers {
            states: take("states")?.into_dimensionality::<Ix2>().map_err(shaped)?,
            log_weights: values(take("log_weights")?),
            starts: values(take("starts")?).into_iter().map(|start| start as usize).collect(),
            annealed_std_err: single(take("annealed")?)?,
        })
    } else {
        None
    };
    let ladder = if climbing {
        let states = take("rungs")?.into_dimensionality::<Ix3>().map_err(shaped)?;
        Some(Positions {
            schedule: Schedule::given(values(take("betas")?)).map_err(|error| error.to_string())?,
            states: states.outer_iter().map(|states| states.to_owned()).collect(),
        })
    } else {
        None
    };
    Ok(Some(State { age, walkers, ladder }))
}
