// A page that stands in its HTML: only the bar comes from here.
import { shell } from "../components/shell.js";

shell("");
