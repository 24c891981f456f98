"""The page that ``fastnst ui`` serves, and the npm package: JavaScript, and WebAssembly where ``make web`` has built it."""
