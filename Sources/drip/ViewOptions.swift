import ArgumentParser
import Profile

/// What of the stacks is shown: shared by the commands that show call sites.
struct ViewOptions: ParsableArguments {
  @Flag(
    help:
      "Fold frames of the allocator, the C and C++ libraries and the dynamic linker; add up what is then equal."
  )
  var noLibc = false

  @Option(
    help: ArgumentHelp(
      "Show stacks only that have a frame which matches; may be given more than once, then one must.",
      discussion: "A frame matches by its function, its source file or its module, in any part of the name.",
      valueName: "regex"))
  var focus: [String] = []

  @Option(help: ArgumentHelp("Leave out stacks that have a frame which matches.", valueName: "regex"))
  var ignore: [String] = []

  @Option(help: ArgumentHelp("Fold frames that match, as --no-libc does.", valueName: "regex"))
  var hide: [String] = []

  func validate() throws {
    for (option, texts) in [("--focus", focus), ("--ignore", ignore), ("--hide", hide)] {
      for text in texts {
        do { _ = try StackPattern(text) } catch {
          throw ValidationError("\(option) \(text): no regular expression that drip understands: \(error)")
        }
      }
    }
  }

  /// The view asked for. `validate` has shown that every expression can be compiled.
  var view: StackView {
    func patterns(_ texts: [String]) -> [StackPattern] { texts.compactMap { try? StackPattern($0) } }
    return StackView(
      foldsLibraries: noLibc, focus: patterns(focus), ignore: patterns(ignore), hide: patterns(hide))
  }
}
