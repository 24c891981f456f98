// The engine in a browser's worker.

import { answering } from "./calls.js";

const answer = answering((message, transfer) => self.postMessage(message, transfer));
let turn = Promise.resolve();
self.onmessage = ({ data }) => {
  turn = turn.then(() => answer(data));
};
