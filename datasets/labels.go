package datasets

import "hounsfield/datasets/table"

// TwoYears is the label's horizon in days: alive at two years means alive on day
// 730 and after it.
const TwoYears = 730.0

// Outcome is what became of a patient.
type Outcome struct {
	SurvivalDays Null[float64] // from the cohort's time zero to death or last contact, days
	Event        Null[bool]    // true: died at SurvivalDays; false: alive then, not seen later
	Alive2yr     Null[bool]    // the label; null when last seen alive before two years
}

// Followed says whether time and end of follow-up are known, so that the patient has a
// place in a survival analysis.
func (o Outcome) Followed() bool { return o.SurvivalDays.Valid && o.Event.Valid }

// AliveAt2yr is the label that follows from survival: followed for more than 730
// days is alive (true), died at or before is dead (false), and lost from sight
// alive at or before is unknown (null).
func AliveAt2yr(days float64, event bool) Null[bool] {
	switch {
	case days > TwoYears:
		return table.Some(true)
	case event && days <= TwoYears:
		return table.Some(false)
	default: // censored too early, or days is NaN
		return Null[bool]{}
	}
}
