"""What one writes by hand: import, load, infer once, print. Arguments: the model's file and a picture."""

from __future__ import annotations

import sys

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
given, got = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
height, width = given["shape"][1:3]
picture = cv2.cvtColor(cv2.resize(np.asarray(cv2.imread(sys.argv[2])), (width, height)), cv2.COLOR_BGR2RGB)
interpreter.set_tensor(given["index"], picture[np.newaxis].astype(given["dtype"]))
interpreter.invoke()
print(int(interpreter.get_tensor(got["index"]).argmax()), flush=True)
