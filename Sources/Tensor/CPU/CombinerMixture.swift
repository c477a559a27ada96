/// Not there yet.
enum CombinerMixture: CombinerPass {
  static func runForward(_ views: CombinerViews) {
    preconditionFailure("not implemented")
  }

  static func runBackward(_ views: CombinerViews, _ gradients: CombinerViewGradients) {
    preconditionFailure("not implemented")
  }

  static func makeState(_ shape: CombinerShape, _ head: HeadShape) -> any CombinerPatternState {
    preconditionFailure("not implemented")
  }
}
