/// The order in which a sum of squares is added, the same for every back end: runs of elements by
/// themselves, then the sums of the runs, one after the other.
///
/// So ranks that have some of the runs each come to the sum of all, bit for bit.
package enum Squares {
  /// Elements of a run; the last one is shorter.
  package static let run = 1 << 16

  /// The beginning of the next run, or of this one where it begins here.
  package static func roundedUp(_ place: Int) -> Int { (place + run - 1) / run * run }

  /// How many runs begin in a range, or before it and reach into it.
  package static func runs(in range: Range<Int>) -> Int {
    (range.upperBound + run - 1) / run - range.lowerBound / run
  }
}
